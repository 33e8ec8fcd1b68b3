"""Training in step by the collectives of `torch.distributed`, in processes that torchrun starts."""
