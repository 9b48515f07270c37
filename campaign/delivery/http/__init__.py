"""Letters by HTTP, to gateways that take the finished octets. The request is the dot: nothing of it leaves before."""
