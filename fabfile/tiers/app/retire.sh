# shellcheck shell=sh
# Takes all applications off a machine, and leaves their uploads; put into retire.sh of the
# operations. `applications` names those that config.py knows.

retire_app() {
  for file in /etc/crm-deployer/*.env; do
    [ ! -e "$file" ] || applications="${applications-} $(basename "$file" .env)"
  done
  for name in $(echo "${applications-}" | tr ' ' '\n' | sort -u); do
    home=/srv/$name
    # Somebody else's user of that name lives elsewhere.
    if [ "$(getent passwd "$name" | cut -d: -f6)" != "$home" ]; then
      continue
    elif [ -n "$(find "$home/uploads" -type f -print -quit 2>/dev/null)" ]; then
      find "$home" -mindepth 1 -maxdepth 1 ! -name uploads -exec rm -rf {} +
      echo "stays: $home/uploads, and the user $name that they belong to: 'rm -r $home' and 'userdel $name' remove them"
    else
      rm -rf "$home"
      userdel "$name"
    fi
  done
  ! id crm-build >/dev/null 2>&1 || userdel crm-build
  rm -rf /var/cache/crm-build
}
