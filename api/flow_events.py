from functions.flow_events import app
