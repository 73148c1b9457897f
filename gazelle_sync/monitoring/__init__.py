"""What there is to say about the mirror: whether it is fresh, how its runs went, and what people must be told.

Keep out: how it is said and sent (`alerts`), SQL (`warehouse`), when anybody looks (`sensors`, `cli`).
"""
