"""The recipe on a CUDA device through torch, and what that needs in memory. Imported only where torch is wanted."""
