#!/bin/bash
# Presets, which the first boot of an image applies, enable the main socket alone, also if units were enabled by hand.
. "$(dirname "$0")/lib.sh"
enabled() { systemctl list-unit-files --no-legend --state=enabled 'retortd*' | cut -d' ' -f1 | xargs; }

equal "the package enables one unit" retortd.socket "$(enabled)"
systemctl disable --quiet retortd.socket
systemctl --preset-mode=enable-only preset-all >/dev/null 2>&1
equal "so does a first boot" retortd.socket "$(enabled)"
systemctl enable --quiet retortd-echo.socket retortd-inetd.socket retortd-unix.socket
systemctl preset-all >/dev/null 2>&1
equal "the presets disable all others" retortd.socket "$(enabled)"
