// What test pods run: one static program, because their images hold nothing
// else. The first argument chooses what it does.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

func main() {
	if len(os.Args) == 4 && os.Args[1] == "serve-files" {
		failOn(http.ListenAndServe(os.Args[2], http.FileServer(http.Dir(os.Args[3]))))
	}
	if len(os.Args) != 3 {
		fail("usage: testbox lookup NAME | serve ADDRESS | serve-files ADDRESS FOLDER | get URL | eat MIB | write FILE")
	}
	argument := os.Args[2]
	switch os.Args[1] {
	case "lookup":
		addresses, err := net.LookupHost(argument)
		failOn(err)
		fmt.Println(addresses)
	case "serve":
		failOn(http.ListenAndServe(argument, http.HandlerFunc(greet)))
	case "get":
		get(argument)
	case "eat":
		eat(argument)
	case "write":
		write(argument)
	default:
		fail("unknown command " + os.Args[1])
	}
}

func greet(response http.ResponseWriter, _ *http.Request) {
	name, _ := os.Hostname()
	fmt.Fprintln(response, "hello from", name)
}

func get(url string) {
	client := http.Client{Timeout: 5 * time.Second}
	response, err := client.Get(url)
	failOn(err)
	defer response.Body.Close()
	fmt.Println(response.Status)
}

// eat takes memory and touches every page of it, then stays.
func eat(mebibytes string) {
	count, err := strconv.Atoi(mebibytes)
	failOn(err)
	var kept [][]byte
	for range count {
		block := make([]byte, 1<<20)
		for i := 0; i < len(block); i += 4096 {
			block[i] = 1
		}
		kept = append(kept, block)
	}
	fmt.Println("holding", len(kept), "MiB")
	select {}
}

// write fills a file until something stops it.
func write(path string) {
	file, err := os.Create(path)
	failOn(err)
	block := make([]byte, 1<<20)
	for {
		_, err := file.Write(block)
		failOn(err)
		time.Sleep(5 * time.Millisecond)
	}
}

func failOn(err error) {
	if err != nil {
		fail(err.Error())
	}
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(1)
}
