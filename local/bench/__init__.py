"""`./pipeline bench ingester`: what a frame costs the ingester, and a peer, on this machine."""
