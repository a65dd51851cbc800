"""One run at work: read what it starts from, train or convert or calibrate, leave its files whole, go on after a stop.

The loop never learns which method it trains; what a batch is worth is an objective's affair (`lasnn.distillation`).
"""
