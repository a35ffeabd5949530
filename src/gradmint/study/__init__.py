"""How well signatures tell honest work from anything else: measured noise, cheats, thresholds, error rates."""
