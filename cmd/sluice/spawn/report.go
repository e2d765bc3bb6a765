package spawn

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// reportVar tells a supervisor on which descriptor it says how its start went.
// It is a variable and no flag, so that ps shows what was typed.
const reportVar = "SLUICE_SPAWN_REPORT"

// A startReport is how the start of a supervisor in the background went.
type startReport struct {
	Up      bool
	Status  int      // to exit with
	Message []string // lines for standard error
}

// A reporter is where a supervisor reports; nil in the foreground.
type reporter struct{ file *os.File }

// takeReport returns the reporter of a supervisor in the background, nil if we
// are none.
func takeReport() (*reporter, error) {
	number, ok := os.LookupEnv(reportVar)
	if !ok {
		return nil, nil
	}
	os.Unsetenv(reportVar)
	fd, err := strconv.Atoi(number)
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("%s is %q: it is ours, and nobody else should set it", reportVar, number)
	}
	syscall.CloseOnExec(fd)
	return &reporter{os.NewFile(uintptr(fd), "report")}, nil
}

// awaited reports whether somebody waits for the report.
func (r *reporter) awaited() bool { return r != nil && r.file != nil }

// send says how the start went. It does so once.
func (r *reporter) send(report startReport) {
	if !r.awaited() {
		return
	}
	json.NewEncoder(r.file).Encode(report) // whoever waited for it may be gone
	r.file.Close()
	r.file = nil
}
