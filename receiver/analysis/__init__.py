"""What may be behind an alert: advice for people, from a local model or from rules of thumb, never carried out.

The `analyze` verb asks; situation.py gathers what is known, and whoever answers keeps to the form of advice.py.
"""
