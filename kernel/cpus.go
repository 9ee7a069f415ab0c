package kernel

import (
	"os"
	"runtime"
	"strconv"
	"strings"
)

// CPUs is how many CPUs a mask needs bits for: the number of the highest one that is online, and one more.
func CPUs() int {
	list, err := os.ReadFile("/sys/devices/system/cpu/online")
	if err == nil {
		if n, err := highest(string(list)); err == nil {
			return n + 1
		}
	}
	return runtime.NumCPU() // those of this process, which may be fewer
}

// highest returns the last number of an ascending list such as 0-3,8-11.
func highest(list string) (int, error) {
	list = strings.TrimSpace(list)
	return strconv.Atoi(list[strings.LastIndexAny(list, ",-")+1:])
}
