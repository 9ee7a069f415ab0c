package tour

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Places in the directory.
var (
	configDir  = filepath.Join(directory, "etc")
	runtimeDir = filepath.Join(directory, "run")
	socket     = filepath.Join(runtimeDir, "linebond.sock")
	logFile    = filepath.Join(directory, "log")
)

// What each line is like.
const (
	lineDown = 20e6 // bit/s
	lineUp   = 5e6
	password = "a secret of the lab"

	lineDelay = 5 * time.Millisecond // each way
)

func lineName(i int) string     { return fmt.Sprintf("line%d", i+1) }
func lineUser(i int) string     { return fmt.Sprintf("line%d@isp.example", i+1) }
func lineVLAN(i int) uint16     { return uint16(101 + i) }
func routerDevice(i int) string { return fmt.Sprintf("eth%d", i+1) }

// writeFiles writes the configuration of the daemon, as a person would. teql is the bond's device, if it is to have one.
func writeFiles(o Options, teql string) error {
	files := map[string]string{"linebond.toml": daemonFile(o, teql)}
	for i := range o.Lines {
		files["lines.d/"+lineName(i)+".toml"] = lineFile(o, i)
	}
	for _, dir := range []string{configDir, filepath.Join(configDir, "lines.d"), runtimeDir} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(configDir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func daemonFile(o Options, teql string) string {
	text := "[log]\nto = \"stderr\"\n\n"
	if o.Bond != "none" {
		text += fmt.Sprintf("[bond]\nmode = %q\n", o.Bond)
		if teql != "" {
			text += fmt.Sprintf("device = %q\n", teql)
		}
		text += "\n[health]\nrejoin_after = \"1s\"     # a tour is short; the default is 5s\n\n"
	}
	return text + "[lan]\ninterfaces = [\"lan0\"]\n\n[host]\nfirewall = true\n"
}

func lineFile(o Options, i int) string {
	return fmt.Sprintf("interface = %q\nvlan      = %d\nusername  = %q\npassword  = %q\ndownload  = \"%.0fmbit\"\nupload    = \"%.0fmbit\"\ndataplane = %q\n",
		routerDevice(i), lineVLAN(i), lineUser(i), password, lineDown/1e6, lineUp/1e6, o.Dataplane)
}
