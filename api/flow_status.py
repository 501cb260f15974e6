from functions.flow_status import app
