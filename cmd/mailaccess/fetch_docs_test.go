package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every file that docs/how-a-fetch-travels.md names exists, and whatever stands in backquotes is
// declared in a file of its paragraph.
func TestHowAFetchTravels(t *testing.T) {
	const page = "../../docs/how-a-fetch-travels.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`\]\(([^)]+\.go)\)`)
	name := regexp.MustCompile("`([A-Za-z]\\w*(?:\\.\\w+)?)`")
	_, body, _ := strings.Cut(string(text), "\n## ")
	steps := 0
	for paragraph := range strings.SplitSeq(body, "\n\n") {
		declared, files := make(map[string]bool), 0
		for _, m := range link.FindAllStringSubmatch(paragraph, -1) {
			files++
			declaredIn(t, filepath.Join(filepath.Dir(page), filepath.FromSlash(m[1])), declared)
		}
		for _, m := range name.FindAllStringSubmatch(paragraph, -1) {
			if steps++; !declared[m[1]] {
				t.Errorf("%s is declared in none of the %d files of\n%s", m[1], files, paragraph)
			}
		}
	}
	if steps < 40 {
		t.Fatalf("%d names: the page was not understood", steps)
	}
}

// declaredIn adds what a file declares: Func, Type, Type.Method, Type.Field, variables.
func declaredIn(t *testing.T, path string, declared map[string]bool) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Error(err)
		return
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				receiver := d.Recv.List[0].Type
				if pointer, ok := receiver.(*ast.StarExpr); ok {
					receiver = pointer.X
				}
				if id, ok := receiver.(*ast.Ident); ok {
					name = id.Name + "." + name
				}
			}
			declared[name] = true
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.ValueSpec:
					for _, id := range spec.Names {
						declared[id.Name] = true
					}
				case *ast.TypeSpec:
					declared[spec.Name.Name] = true
					for _, id := range members(spec.Type) {
						declared[spec.Name.Name+"."+id.Name] = true
					}
				}
			}
		}
	}
}

// members are the methods of an interface, or the fields of a struct.
func members(typ ast.Expr) (names []*ast.Ident) {
	var list *ast.FieldList
	switch typ := typ.(type) {
	case *ast.InterfaceType:
		list = typ.Methods
	case *ast.StructType:
		list = typ.Fields
	default:
		return nil
	}
	for _, f := range list.List {
		names = append(names, f.Names...)
	}
	return names
}
