#!/bin/bash
# The files the faults are made of, below /srv/f of a node.
set -e
mkdir -p /srv/f && cd /srv/f
: > empty
sed 's/^MemTotal:.*/MemTotal:         700000 kB/' /proc/meminfo > meminfo-node
sed 's/^MemTotal:.*/MemTotal:        3000000 kB/' /proc/meminfo > meminfo-server
printf 'processor\t: 0\nmodel name\t: one\n' > cpuinfo
printf 'NAME="CentOS Linux"\nVERSION_ID="7"\nID="centos"\nID_LIKE="rhel fedora"\nPRETTY_NAME="CentOS Linux 7 (Core)"\n' > centos7
printf 'NAME=Arch\nID=arch\nPRETTY_NAME="Arch Linux"\n' > arch
echo 3.10.0-1160.el7.x86_64 > kernel
echo uninitialized > uninitialized
echo 11111111111111111111111111111111 > ones
sed 's/^Max open files.*/Max open files            256                  512                  files/' /proc/1/limits > limits
echo 0 > zero
echo '1024 65535' > ports
printf 'hosts: files\n' > nsswitch
cp /var/lib/dpkg/status status-half && printf '\nPackage: torn\nStatus: install ok half-configured\nVersion: 1\n' >> status-half
cp /var/lib/dpkg/status status-exporter && printf '\nPackage: prometheus-node-exporter\nStatus: install ok installed\nVersion: 1\n' >> status-exporter
sed -n '/BEGIN/,/END/p;/END/q' /etc/ssl/certs/ca-certificates.crt > other-ca.pem
printf 'HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n' > proxy-407
printf 'HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n' > proxy-403
body='{"status":"ok","service":"aami","version":"0.1.0"}'
printf 'HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s' ${#body} "$body" > clock-1994
printf 'HTTP/1.1 200 OK\r\nDate: Fri, 06 Nov 2099 08:49:37 GMT\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s' ${#body} "$body" > clock-2099
dated() {
  printf 'HTTP/1.1 200 OK\r\nDate: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s' \
    "$(LC_ALL=C date -u -d "$2" '+%a, %d %b %Y %H:%M:%S GMT')" ${#body} "$body" > "$1"
}
dated clock-minutes '20 minutes ago'
dated clock-year 'next year'
printf '#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t3\t2\t1\nmemory\t0\t1\t0\npids\t8\t2\t1\n' > cgroups-off
# A machine with GPUs, as its bus and its modules look.
gpu() { mkdir -p "$1/0000:18:00.0"; echo 0x10de > "$1/0000:18:00.0/vendor"; echo 0x030200 > "$1/0000:18:00.0/class"; }
gpu bus-bare
gpu bus-nouveau && ln -s ../drivers/nouveau bus-nouveau/0000:18:00.0/driver
gpu bus-nvidia && ln -s ../drivers/nvidia bus-nvidia/0000:18:00.0/driver
gpu bus-switch && ln -s ../drivers/nvidia bus-switch/0000:18:00.0/driver
mkdir -p bus-switch/0000:05:00.0 && echo 0x10de > bus-switch/0000:05:00.0/vendor && echo 0x068000 > bus-switch/0000:05:00.0/class
mkdir -p modules-none modules-nouveau/nouveau modules-nvidia/nvidia && echo 535.183.06 > modules-nvidia/nvidia/version
cat > smi <<'END'
#!/bin/sh
echo 'index, uuid, pci.bus_id, name, serial, driver_version, memory.total [MiB]'
echo '0, GPU-1, 00000000:18:00.0, NVIDIA H100 80GB HBM3, 1650, 535.183.06, 81559 MiB'
END
cat > smi-broken <<'END'
#!/bin/sh
echo 'NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.'; exit 9
END
# nvidia-smi(1), RETURN VALUE: 6 is "a query to find an object was unsuccessful", 15 "the GPU has fallen off the bus".
cat > smi-none <<'END'
#!/bin/sh
echo 'No devices were found'; exit 6
END
cat > smi-lost <<'END'
#!/bin/sh
echo 'Unable to determine the device handle for GPU 0000:18:00.0: GPU is lost.  Reboot the system to recover this GPU'; exit 15
END
docker() { cat > "$1" <<END
#!/bin/sh
case "\$*" in
  *Client*) echo $2 ;;
  *Server*) $3 ;;
  'compose version'*) $4 ;;
esac
END
}
docker docker-good 24.0.5 'echo 24.0.5' 'echo 2.20.2'
docker docker-old 19.03.15 'echo 19.03.15' 'exit 1'
docker docker-dead 24.0.5 'echo "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?" >\&2; exit 1' 'echo 2.20.2'
docker docker-denied 24.0.5 'echo "permission denied while trying to connect to the Docker daemon socket" >\&2; exit 1' 'echo 2.20.2'
docker docker-bare 24.0.5 'echo 24.0.5' 'echo "unknown command" >\&2; exit 1'
docker docker-one 24.0.5 'echo 24.0.5' 'echo 1.29.2'
docker docker-podman 4.9.3 'echo 4.9.3' 'echo 2.20.2'
sed -i "s/^case.*/&\n  --version) echo 'podman version 4.9.3' ;;/" docker-podman
sed -i 's/>\\&2/>\&2/' docker-*
printf '#!/bin/sh\necho "Status: active"; echo; echo "22/tcp ALLOW Anywhere"\n' > ufw
printf '#!/bin/sh\ncase "$*" in --state) echo running ;; --get-default-zone) echo public ;; *--list-all) echo "  ports: 22/tcp" ;; esac\n' > firewall-cmd
printf '#!/bin/sh\n[ "$1" = --version ] && { echo "systemd 219"; exit 0; }\nexec /usr/bin/systemctl "$@"\n' > systemctl-219
chmod 755 smi smi-broken smi-none smi-lost docker-* ufw firewall-cmd systemctl-219
