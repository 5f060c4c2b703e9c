"""What the live page shows, in a terminal.

events    reads the gateway's events and adds up what happened in between
tables    the tables of one moment
watching  shows them until Ctrl-C
"""
