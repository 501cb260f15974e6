#!/bin/sh
# Prints the secret that serverless.yml names, as JSON: REDIS_URL and REDIS_TOKEN, MODEL_API_KEY if there is one,
# and keys of our own, drawn anew at each call.
set -eu
: "${REDIS_URL:?is the address of the store}" "${REDIS_TOKEN:?is the token of the store}"

case "$REDIS_URL$REDIS_TOKEN${MODEL_API_KEY:-}" in
*[\"\\]*) echo "$0: what is put into JSON here may have no quotation mark and no backslash" >&2; exit 2 ;;
esac

drawn() { openssl rand -hex 32; }

cat <<JSON
{
  "redis_url": "$REDIS_URL",
  "redis_token": "$REDIS_TOKEN",
  "jwt_keys": "k1:$(drawn)",
  "learning_keys": "k1:$(drawn)",
  "webhook_secret": "$(drawn)",
  "model_api_key": "${MODEL_API_KEY:-none}"
}
JSON
