package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	pluginapi "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

// fakeGPUs offers a node's pretended GPUs through the kubelet's real device
// plugin API, so that scheduling and allocation behave as with hardware.
type fakeGPUs struct {
	pluginapi.UnimplementedDevicePluginServer
	node  string
	count int
}

func runFakeGPUPlugin(args []string) error {
	flags := flag.NewFlagSet("fake-gpu-plugin", flag.ExitOnError)
	dir := flags.String("dir", pluginapi.DevicePluginPath, "folder of the kubelet's device plugin sockets")
	resource := flags.String("resource", "nvidia.com/gpu", "extended resource to offer")
	node := flags.String("node", "node", "prefix of the device ids")
	count := flags.Int("count", 1, "how many devices to offer")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()

	gpus := &fakeGPUs{node: *node, count: *count}
	for {
		restarted, err := gpus.serve(ctx, *dir, *resource)
		if err == nil && !restarted {
			return nil
		}
		fmt.Fprintln(os.Stderr, "registering again:", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

// serve registers and answers until the kubelet restarts (it then deletes our
// socket) or the context ends.
func (g *fakeGPUs) serve(ctx context.Context, dir, resource string) (restarted bool, err error) {
	socket := filepath.Join(dir, "fake-gpu.sock")
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		return false, err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return false, err
	}
	server := grpc.NewServer()
	pluginapi.RegisterDevicePluginServer(server, g)
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()

	if err := register(ctx, filepath.Join(dir, "kubelet.sock"), filepath.Base(socket), resource); err != nil {
		return false, err
	}
	for {
		select {
		case <-ctx.Done():
			return false, nil
		case <-time.After(500 * time.Millisecond):
			if _, err := os.Stat(socket); os.IsNotExist(err) {
				return true, nil
			}
		}
	}
}

func register(ctx context.Context, kubeletSocket, endpoint, resource string) error {
	connection, err := grpc.NewClient("unix://"+kubeletSocket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	_, err = pluginapi.NewRegistrationClient(connection).Register(ctx, &pluginapi.RegisterRequest{
		Version:      pluginapi.Version,
		Endpoint:     endpoint,
		ResourceName: resource,
	})
	return err
}

func (g *fakeGPUs) GetDevicePluginOptions(context.Context, *pluginapi.Empty) (*pluginapi.DevicePluginOptions, error) {
	return &pluginapi.DevicePluginOptions{}, nil
}

func (g *fakeGPUs) ListAndWatch(_ *pluginapi.Empty, stream pluginapi.DevicePlugin_ListAndWatchServer) error {
	devices := make([]*pluginapi.Device, g.count)
	for i := range devices {
		devices[i] = &pluginapi.Device{ID: fmt.Sprintf("%s-gpu-%d", g.node, i), Health: pluginapi.Healthy}
	}
	if err := stream.Send(&pluginapi.ListAndWatchResponse{Devices: devices}); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

// Allocate hands out device ids the way NVIDIA's plugin does: in the variable
// that a CUDA program reads.
func (g *fakeGPUs) Allocate(_ context.Context, request *pluginapi.AllocateRequest) (*pluginapi.AllocateResponse, error) {
	response := &pluginapi.AllocateResponse{}
	for _, container := range request.ContainerRequests {
		visible := ""
		for i, id := range container.DevicesIds {
			if i > 0 {
				visible += ","
			}
			visible += id
		}
		response.ContainerResponses = append(response.ContainerResponses, &pluginapi.ContainerAllocateResponse{
			Envs: map[string]string{"NVIDIA_VISIBLE_DEVICES": visible},
		})
	}
	return response, nil
}
