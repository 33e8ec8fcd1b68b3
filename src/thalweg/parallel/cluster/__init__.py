"""An engine on Ray: workers and shards in processes of their own, here or on many machines."""
