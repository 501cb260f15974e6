from functions.crew_launch import app
