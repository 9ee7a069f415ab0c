package vm

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLoadOrder(t *testing.T) {
	dependencies := []byte("kernel/a/ring.ko:\nkernel/a/virtio.ko: kernel/a/ring.ko\nkernel/a/virtio_pci.ko: kernel/a/virtio.ko kernel/a/ring.ko\n" +
		"kernel/b/net.ko: kernel/b/base.ko kernel/a/virtio.ko kernel/a/ring.ko\nkernel/b/base.ko:\n")
	got, err := loadOrder(dependencies, []string{"virtio_pci", "net"})
	want := []string{"kernel/a/ring.ko", "kernel/a/virtio.ko", "kernel/a/virtio_pci.ko", "kernel/b/base.ko", "kernel/b/net.ko"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
	if _, err := loadOrder(dependencies, []string{"pci"}); err == nil || err.Error() != "the kernel has no module pci" {
		t.Errorf("an unknown module: %v", err)
	}
}
