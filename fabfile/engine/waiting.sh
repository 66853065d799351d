# shellcheck shell=sh
# The one way to wait on a machine, put before all scripts that change one.

await() { # LIMIT WHAT CONDITION [HOPELESS]: until a shell condition holds
  # Says it when that was in vain; when the condition HOPELESS holds, without waiting for the limit.
  begun=$(date +%s)
  until said=$(timeout "$1" sh -c "$3" 2>&1); do
    waited=$(($(date +%s) - begun))
    if [ "$waited" -ge "$1" ] || sh -c "${4:-false}" 2>/dev/null; then
      echo "waited $waited s for $2; last seen: $said"
      return 1
    fi
    sleep 0.2
  done
}
