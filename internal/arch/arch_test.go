package arch

import (
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sluice-gateway/sluice"

// layers lists every package of the module, lowest first, some of them before
// they exist. A package imports packages on lower lines only. ARCHITECTURE.md
// says what each is for.
var layers = [][]string{
	{"internal/address", "internal/accept", "internal/dial", "internal/hangup", "internal/lazyctx", "internal/linelog", "internal/logqueue", "internal/scale", "internal/sdnotify", "internal/spill", "internal/watch"},
	{"internal/listen"},
	{"cgi", "process", "pool", "config"},
	{"cgi/cgihttp", "cgi/cgihost", "fastcgi", "scgi", "h1", "discover", "config/lighttpd", "config/monkey", "cmd/sluice/outcome", "cmd/sluice/service"},
	{"fcgi", "fastcgi/fcgitest", "static", "internal/recipe", "cmd/sluice/spawn"},
	{"gateway", "handler", "admin"},
	{"internal/backend", "loop"},
	{"."},
	{"cmd/sluice/demo"},
	{"cmd/sluice", "cmd/sluice-relay", "tools/simulate"},
}

// forTests lists the packages that only tests import. They may import what
// they like.
var forTests = []string{"internal/arch", "internal/testlog", "internal/testpeer", "internal/testproc"}

// withoutHTTP lists packages that programs link which must stay small, or
// which carry more than HTTP.
var withoutHTTP = []string{"cgi", "fastcgi", "scgi", "pool", "process", "h1", "cmd/sluice-relay"}

func TestImportsPointDown(t *testing.T) {
	for _, line := range goList(t, "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"/...") {
		f := strings.Fields(line)
		for _, complaint := range complaints(f[0], f[1:]) {
			t.Error(complaint)
		}
	}
}

// complaints says what is wrong with the imports of one package.
func complaints(path string, imports []string) []string {
	pkg := name(path)
	if slices.Contains(forTests, pkg) || strings.HasPrefix(pkg, "examples/") {
		return nil
	}
	if layer(pkg) < 0 {
		return []string{pkg + " is in no layer: decide where it belongs, and write it into layers"}
	}
	var found []string
	for _, path := range imports {
		switch imp := name(path); {
		case imp == "": // not of this module
		case slices.Contains(forTests, imp):
			found = append(found, pkg+" imports "+imp+", which is for tests only")
		case layer(imp) >= layer(pkg):
			found = append(found, pkg+" imports "+imp+", which is not below it")
		}
	}
	return found
}

func TestComplaints(t *testing.T) {
	tests := []struct {
		name, pkg string
		imports   []string
		want      int
	}{
		{"nothing", "/cgi", nil, 0},
		{"down", "/fastcgi", []string{"/cgi", "/internal/address"}, 0},
		{"root, down", "", []string{"/gateway", "/loop"}, 0},
		{"command, to the root", "/cmd/sluice", []string{""}, 0},
		{"command without the gateway, to the root", "/cmd/sluice/spawn", []string{"/process", ""}, 1},
		{"up", "/cgi", []string{"/fastcgi"}, 1},
		{"up, to the root", "/gateway", []string{""}, 1},
		{"beside", "/pool", []string{"/process"}, 1},
		{"each is said", "/pool", []string{"/process", "/config", "/cgi"}, 3},
		{"for tests", "/cmd/sluice", []string{"/internal/testpeer"}, 1},
		{"by tests", "/internal/testpeer", []string{"/gateway"}, 0},
		{"unknown", "/util", nil, 1},
		{"unknown, internal", "/internal/util", nil, 1},
		{"unknown, below a known one", "/cgi/util", nil, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			imports := []string{"fmt", "github.com/spf13/cobra"}
			for _, imp := range tt.imports {
				imports = append(imports, module+imp)
			}
			if got := complaints(module+tt.pkg, imports); len(got) != tt.want {
				t.Errorf("complaints(%q, %q) = %q, want %d", tt.pkg, tt.imports, got, tt.want)
			}
		})
	}
}

func TestNoHTTP(t *testing.T) {
	const format = `{{.ImportPath}} {{join .Deps " "}}`
	for _, line := range goList(t, "-f", format, module+"/...") {
		f := strings.Fields(line)
		if slices.Contains(withoutHTTP, name(f[0])) && slices.Contains(f[1:], "net/http") {
			t.Errorf("%s links net/http", name(f[0]))
		}
	}
}

// Every package of a project that is used as a library says what it may cost
// its users: the codecs need nothing but Go's own packages.
func TestOnlyStandardLibrary(t *testing.T) {
	const format = `{{.ImportPath}} {{join .Imports " "}}`
	plain := []string{"cgi", "fastcgi", "scgi", "pool", "process"}
	for _, line := range goList(t, "-f", format, module+"/...") {
		f := strings.Fields(line)
		if !slices.Contains(plain, name(f[0])) {
			continue
		}
		for _, imp := range f[1:] {
			first, _, _ := strings.Cut(imp, "/")
			if name(imp) == "" && strings.Contains(first, ".") && !strings.HasPrefix(imp, "golang.org/x/") {
				t.Errorf("%s imports %s, want Go's own packages only", name(f[0]), imp)
			}
		}
	}
}

// goList runs go list in the module's folder and returns its lines.
func goList(t *testing.T, args ...string) []string {
	t.Helper()
	root := filepath.Join("..", "..")
	readFolders(t, root)
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		var stderr []byte
		if e, ok := err.(*exec.ExitError); ok {
			stderr = e.Stderr
		}
		t.Fatalf("go list: %v\n%s", err, stderr)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// readFolders looks at every source file: go test remembers a result for as
// long as the files that the test has looked at stay the same, and does not
// know what a program reads that the test runs.
func readFolders(t *testing.T, root string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && path != root && strings.HasPrefix(d.Name(), ".") {
			return filepath.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// name returns the package's name within the module, "." for its root, and
// "" for the packages of others.
func name(path string) string {
	if path == module {
		return "."
	}
	rest, ok := strings.CutPrefix(path, module+"/")
	if !ok {
		return ""
	}
	return rest
}

// layer returns the index in layers, or -1.
func layer(pkg string) int {
	return slices.IndexFunc(layers, func(l []string) bool { return slices.Contains(l, pkg) })
}
