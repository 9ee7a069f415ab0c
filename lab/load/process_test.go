package load

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// memory reads a number from a file of /proc/PID, in kB.
func (w *world) memory(name string) float64 {
	w.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.process.Process.Pid))
	must(w.t, err)
	_, after, _ := strings.Cut(string(text), "\n"+name+":")
	fields := strings.Fields(after)
	if len(fields) == 0 {
		w.t.Fatalf("no %s in %s", name, text)
	}
	kB, err := strconv.ParseFloat(fields[0], 64)
	must(w.t, err)
	return kB
}

// cpu is the processor time that the daemon has had (proc(5)).
func (w *world) cpu() time.Duration {
	w.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", w.process.Process.Pid))
	must(w.t, err)
	_, after, _ := strings.Cut(string(text), ") ") // the name may have spaces
	const utime, stime = 14 - 3, 15 - 3            // in hundredths of a second
	fields := strings.Fields(after)
	var ticks int
	for _, place := range []int{utime, stime} {
		n, err := strconv.Atoi(fields[place])
		must(w.t, err)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
