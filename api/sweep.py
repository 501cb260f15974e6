from functions.sweep import app
