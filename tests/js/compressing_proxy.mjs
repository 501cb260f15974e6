// node compressing_proxy.mjs TARGET: an Express server as many a front end has one; prints its port.
import compression from "compression";
import express from "express";
import { createProxyMiddleware } from "http-proxy-middleware";

const app = express();
app.use(compression());
app.get("/compressed", (_, answer) => answer.type("text/event-stream").send("x".repeat(5000)));
app.use(createProxyMiddleware({ target: process.argv[2], changeOrigin: true }));
const server = app.listen(0, "127.0.0.1", () => console.log(server.address().port));
