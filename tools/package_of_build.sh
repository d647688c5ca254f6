# Sourced by scripts that test a build of their own: `package_of_build DIR` lays out the Python half of this tree with the
# module that lies in DIR, and has python import that.
package_of_build() {
  local to="$1/python"
  rm -rf "$to"
  mkdir "$to"
  cp -r python/lamina "$to/"
  rm -f "$to"/lamina/_C.*.so
  cp "$1"/_C.*.so "$to/lamina/"
  # An editable install comes before PYTHONPATH: its module would be tested instead.
  cat >"$to/sitecustomize.py" <<'PYTHON'
import sys

sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != "ScikitBuildRedirectingFinder"]
PYTHON
  export PYTHONPATH="$PWD/$to"
  local found
  found=$("${python:-python}" -c 'from importlib.util import find_spec; print(find_spec("lamina").origin)')
  case $found in
    "$PWD/$to"/*) ;;
    *) echo "python would import $found instead of what was built in $1" >&2 && return 1 ;;
  esac
}
