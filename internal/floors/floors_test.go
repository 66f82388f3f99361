package floors

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/cachenode/cachenode"

// floorOf is where each package stands; the longest prefix counts. A package
// may import those of lower floors only, and those under its own name.
var floorOf = map[string]int{
	"cmd":       5,
	"node":      4,
	"demo":      4,
	"proxy":     3,
	"frontdoor": 3,
	"election":  3,
	"admin":     3,
	"peer":      2,
	"icp":       1,
	"http1":     1,
	"cache":     1,
	"acl":       1,
	"accesslog": 1,
	"bench":     1,
	"internal":  0,
	// The generator of the configuration's documents reads the Options of all.
	"internal/configdoc": 5,
	// The generator of docs/performance.md runs and reads bench compare.
	"internal/perfdoc": 5,
	// Tests that start whole nodes.
	"internal/clustertest": 5,
}

// folders of the design exist, also those where nothing is built yet.
var folders = []string{
	"cmd/cachenode", "node", "proxy", "frontdoor", "election", "admin", "peer", "icp",
	"cache", "cache/store", "acl", "accesslog", "bench", "deploy",
}

// source is one file that is no test.
type source struct {
	pkg  string // the directory, relative to the root
	path string
	file *ast.File
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// sources parses the head of every Go file of the module, tests left out.
func sources(t *testing.T) []source {
	t.Helper()
	top := root(t)
	var all []source
	err := filepath.WalkDir(top, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); name != top && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, name)
		all = append(all, source{pkg: filepath.ToSlash(filepath.Dir(rel)), path: rel, file: f})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// standing is the floor of a package; ok is false for one that nobody placed.
func standing(pkg string) (floor int, ok bool) {
	for p := pkg; p != "."; p = path.Dir(p) {
		if f, found := floorOf[p]; found {
			return f, true
		}
	}
	return 0, false
}

func TestImportsPointDown(t *testing.T) {
	for _, s := range sources(t) {
		own, ok := standing(s.pkg)
		if !ok {
			t.Errorf("%s: package %s stands on no floor: give it one in floorOf and in ARCHITECTURE.md", s.path, s.pkg)
			continue
		}
		for _, imp := range s.file.Imports {
			target, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			target, ours := strings.CutPrefix(target, module+"/")
			if !ours {
				continue
			}
			if below, _ := standing(target); below >= own && !sameHouse(s.pkg, target) {
				t.Errorf("%s: %s (floor %d) imports %s (floor %d)", s.path, s.pkg, own, target, below)
			}
		}
	}
}

// sameHouse lets a package and those below its folder import each other, and
// the small packages of internal too; Go itself forbids circles.
func sameHouse(a, b string) bool {
	return strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/") ||
		path.Dir(a) == path.Dir(b) && strings.Contains(a, "/")
}

// The doc of a package says its role and its limit, so it is more than a line.
func TestEveryPackageSaysWhatItIs(t *testing.T) {
	said := map[string]string{}
	for _, s := range sources(t) {
		said[s.pkg] += s.file.Doc.Text()
	}
	for pkg, doc := range said {
		name := path.Base(pkg)
		if !strings.HasPrefix(doc, "Package "+name+" ") && !strings.HasPrefix(doc, "Command "+name+" ") {
			t.Errorf("%s: no package doc that begins with %q or %q", pkg, "Package "+name, "Command "+name)
		}
		if strings.Count(doc, ".") < 2 {
			t.Errorf("%s: the package doc must say the role and the limit: %q", pkg, doc)
		}
	}
}

func TestFoldersOfTheDesign(t *testing.T) {
	for _, dir := range folders {
		if info, err := os.Stat(filepath.Join(root(t), dir)); err != nil || !info.IsDir() {
			t.Errorf("%s is missing: %v", dir, err)
		}
	}
}

// Rules of speech: no catch-all files.
func TestFilesAreConcepts(t *testing.T) {
	for _, s := range sources(t) {
		switch filepath.Base(s.path) {
		case "util.go", "utils.go", "types.go", "helpers.go", "common.go", "misc.go":
			t.Errorf("%s: name the file after what it is about", s.path)
		}
	}
}
