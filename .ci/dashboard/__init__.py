"""The parts of the recipe that draws the dashboard."""
