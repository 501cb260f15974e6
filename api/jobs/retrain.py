from functions.retrain import app
