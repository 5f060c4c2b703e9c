"""The demo: simulated regions, the gateway in front of them, and the official client.

- `cli`: plays the story, and leaves nothing running
- `stage`: starts the regions and the gateway
- `story`: what happens, scene by scene
- `calls`: the requests of the official client, and whether their answers are correct
- `report`: the table of requests; `usage`: how to use what `--keep` leaves running
"""
