"""Models: catalogue, prices, choice of a model, and profiles of upstreams."""
