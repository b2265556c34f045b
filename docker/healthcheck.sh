#!/bin/sh
# Ends with 0 when the server in this container generates tokens just now, with 1 and the reason on
# anything else. Needs no key.
#   MICA_PORT            the port inside of the container, when `serve --port` was changed (8080)
#   MICA_HEALTH_SECONDS  how long the token may take (15; less than HEALTHCHECK --timeout)
#   MICA_HEALTH_SCHEME   https when `serve` has a certificate (http)
url="${MICA_HEALTH_SCHEME:-http}://127.0.0.1:${MICA_PORT:-8080}/health?generate=1"
answer=$(curl --silent --show-error --insecure --noproxy '*' \
  --max-time "${MICA_HEALTH_SECONDS:-15}" --write-out '\n%{http_code}' "$url" 2>&1) || {
  echo "no answer from $url:" $answer
  exit 1
}
case $answer in
*'"generated":'*"
200") exit 0 ;;
esac
echo "no token from $url:" $answer
exit 1
