"""What runs in the environments of the engines that ours is compared with."""
