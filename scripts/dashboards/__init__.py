"""The dashboards: one list of panels, from which Grafana's file and the workbook are written."""
