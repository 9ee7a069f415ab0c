package kernel

import "testing"

func TestSettingText(t *testing.T) {
	const mask = "/sys/class/net/ppp-a/queues/rx-0/rps_cpus"
	for _, c := range []struct{ key, value, want string }{
		{"net/ipv4/conf/ppp-a/rp_filter", "2\n", "2"},
		{"net/ipv4/conf/ppp-a/rp_filter", "0\n", "0"},
		{mask, "f\n", "f"},
		{mask, "0f\n", "f"},
		{mask, "00000000,00000003\n", "3"},
		{mask, "00000001,ffffffff\n", "1,ffffffff"},
		{mask, "00000000,00000000\n", "0"},
	} {
		if got := settingText(c.key, c.value); got != c.want {
			t.Errorf("%s: %q reads as %q, want %q", c.key, c.value, got, c.want)
		}
	}
}
