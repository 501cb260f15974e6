from functions.cost_report import app
