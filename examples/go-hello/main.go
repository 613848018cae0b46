// go-hello answers with its name, release and process; standard library only.
package main

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	name    = "go-hello"
	version = "1.0.0"
)

// facts are shown on the page and in the line of text.
type facts struct {
	Name, Version, Release, Process, Runtime string
}

var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{{.Name}}</title>
<style>
  body { font: 1.1rem/1.6 system-ui, sans-serif; max-width: 34rem; margin: 12vh auto; padding: 0 1.5rem; color: #1d2733; background: #f6f8fa }
  h1 { font-size: 1.8rem; margin: 0 0 1rem } dt { color: #5b6b7b } dd { margin: 0 0 .6rem; font-weight: 600 }
</style>
<h1>{{.Name}} is running</h1>
<dl><dt>Version</dt><dd>{{.Version}}</dd><dt>Release</dt><dd>{{.Release}}</dd><dt>Process</dt><dd>{{.Process}}</dd>
<dt>Runtime</dt><dd>{{.Runtime}}</dd></dl>
`))

// firstOf returns the first variable that is set, or the fallback.
func firstOf(fallback string, variables ...string) string {
	for _, variable := range variables {
		if value := os.Getenv(variable); value != "" {
			return value
		}
	}
	return fallback
}

func main() {
	app := facts{
		Name:    name,
		Version: version,
		Release: firstOf("local", "MINI_RELEASE", "GIT_REV"),
		Process: firstOf("web", "MINI_PROCESS", "HOSTNAME"),
		Runtime: runtime.Version(),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.Header.Get("Accept"), "text/html") {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			if err := page.Execute(w, app); err != nil {
				log.Print(err)
			}
			return
		}
		fmt.Fprintf(w, "%s %s, release %s, process %s, %s\n", app.Name, app.Version, app.Release, app.Process, app.Runtime)
	})
	// Answers after ?ms= milliseconds, at most a minute: to see requests in flight finish during a deploy.
	mux.HandleFunc("GET /slow", func(w http.ResponseWriter, r *http.Request) {
		wait, err := strconv.Atoi(r.URL.Query().Get("ms"))
		if err != nil {
			wait = 1000
		}
		wait = min(max(wait, 0), 60_000)
		time.Sleep(time.Duration(wait) * time.Millisecond)
		fmt.Fprintf(w, "waited %d ms\n", wait)
	})
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	})

	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	listener, err := net.Listen("tcp", "0.0.0.0:"+firstOf("5000", "PORT"))
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("listening on %s", listener.Addr())
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	stopped := make(chan error, 1)
	go func() {
		<-stop.Done()
		deadline, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		defer cancel()
		stopped <- server.Shutdown(deadline)
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
	if err := <-stopped; err != nil {
		log.Fatal(err)
	}
	log.Print("stopped")
}
