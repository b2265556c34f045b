#!/bin/sh
# Ends with 0 when the server in this container just generated a token, with 1 and the reason on
# anything else.
#   MICA_PORT            the port inside of the container, when `serve --port` was changed (8080)
#   MICA_HEALTH_SECONDS  how long the token may take (15; less than HEALTHCHECK --timeout)
url=http://127.0.0.1:${MICA_PORT:-8080}/v1/completions
answer=$(curl --silent --show-error --noproxy '*' --max-time "${MICA_HEALTH_SECONDS:-15}" \
  --header 'Content-Type: application/json' \
  --data '{"prompt": "Hello", "max_tokens": 1, "temperature": 0}' --write-out '\n%{http_code}' \
  "$url" 2>&1) || {
  echo "no answer from $url:" $answer
  exit 1
}
case $answer in
*'"completion_tokens":1'[,}]*"
200") exit 0 ;;
esac
echo "no token from $url:" $answer
exit 1
