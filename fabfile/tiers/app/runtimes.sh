# shellcheck shell=sh
# Says what a release was built with, after a build that failed: that its source asks for a newer
# version is the usual reason, and seldom said in the last lines.
versions=
for program in python3 node ruby php java; do
  version=$("$program" --version 2>/dev/null | head -n 1)
  [ ! "$version" ] || versions="$versions, $program ($version)"
done
# shellcheck disable=SC1091 # os-release(5)
echo "it was built on $(. /etc/os-release; echo "$PRETTY_NAME")$versions: a source that asks for a \
newer one needs a newer Debian, or an older version of that source"
