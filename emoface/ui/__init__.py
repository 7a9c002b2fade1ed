"""The web page: a synchronised 3D player, charts that follow it, and the tabs built from them."""
