# Turns this shell into the keeper of a node: it runs in fresh network and
# mount namespaces, lays out the node's private folders, and then only stays,
# so that the namespaces live as long as it does.
#
# usage: node.sh GROUP_FILE NODE_FOLDER CACHE_FOLDER
set -eu
echo $$ > "$1"
node=$2
cd "$3"

mkdir -p "$node/disk"
mount -o loop "$node/disk.img" "$node/disk"
mkdir -p "$node/disk/kubelet" "$node/disk/containerd" "$node/disk/log"

# Nothing of the machine's own state is seen or touched; what must not survive
# a restart (sockets, leases of pod addresses) is in memory.
for folder in /run /var/lib /var/log; do
    mount -t tmpfs -o mode=755 ttsfleet "$folder"
done
mkdir -p /run/lock /run/netns /var/lib/kubelet /var/lib/containerd /var/log/pods
if [ ! -e "$node" ]; then
    # The cache lies below one of these folders: put it back in its place.
    mkdir -p "$3"
    mount --no-canonicalize --rbind . "$3"
fi
mount --bind "$node/disk/kubelet" /var/lib/kubelet
mount --bind "$node/disk/containerd" /var/lib/containerd
mount --bind "$node/disk/log" /var/log/pods

# Packets for pods pass through.
echo 1 > /proc/sys/net/ipv4/ip_forward

touch /run/ready
exec sleep infinity
