"""What a run has shown: on the console, as one HTML file, and as JUnit XML.

- `series`: numbers over time, from samples
- `charts`: drawings of them, as SVG and as a line of characters
- `html`, `junit`, `console`: the three reports
"""
