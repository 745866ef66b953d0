# Run as root in a Debian that has nothing but bubblewrap, with our packages in /packages.
set -eux
export HOME=/root
expect() { grep -q "$1" /tmp/said || { cat /tmp/said; echo "expected $1"; exit 1; }; }

dpkg -i /packages/kortex-cli_*.deb /packages/kortex-runtime-process_*.deb
kortex-cli runtime list | tee /tmp/said
expect '^process .*usable'
[ "$(wc -l </tmp/said)" -eq 2 ]

# The main job.
mkdir -p /srv/shop
cd /srv/shop
kortex-cli init --runtime process --start
kortex-cli exec shop -- sh -c 'echo "in $(pwd)"' | tee /tmp/said
expect '^in /srv/shop$'
kortex-cli stop shop

# A further runtime is there at once, with its own version; a typo is told the names.
if kortex-cli init --runtime fake --name pretended 2>/tmp/said; then exit 1; fi
expect "no runtime 'fake'"
dpkg -i /packages/kortex-runtime-fake_*.deb
version=$(dpkg-query -W -f='${Version}' kortex-runtime-fake)
kortex-cli runtime list | tee /tmp/said
expect "^fake  *$version .*usable"
kortex-cli init --runtime fake --name pretended
if kortex-cli init --runtime fkae --name other 2>/tmp/said; then exit 1; fi
expect '^  fake     usable$'
expect '^  process  usable$'
expect '^hint: kortex-cli init --runtime fake '

# Without its runtime a workspace is listed as unknown, with the reason, and can be removed.
dpkg -r kortex-runtime-fake
kortex-cli list >/tmp/said 2>/tmp/reasons
expect '^pretended  *unknown'
expect '^shop  *stopped'
cat /tmp/reasons >>/tmp/said
expect "no runtime 'fake'"
kortex-cli remove --force pretended
kortex-cli remove shop
[ "$(kortex-cli list -o json | tr -d ' \n')" = '{"items":[]}' ]

# The other packages install as well, and all go without a trace.
dpkg -i /packages/kortex-runtime-check_*.deb /packages/libkortex-runtime-dev_*.deb
kortex-runtime-check --only core /usr/lib/*/kortex/runtimes/libkortex-runtime-process.so 2>/dev/null >/tmp/said ||
  kortex-runtime-check --only core /usr/lib/kortex/runtimes/libkortex-runtime-process.so >/tmp/said || { cat /tmp/said; exit 1; }
expect '^# core [0-9]'
dpkg -P kortex-runtime-check libkortex-runtime-dev kortex-runtime-process kortex-runtime-fake kortex-cli
[ -z "$(find /usr -name '*kortex*')" ]
set +x
echo
echo 'all of it'
