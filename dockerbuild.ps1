# Builds and runs the server or a client in a container. dockerbuild.sh runs the same docker commands; change both.
param(
    [Parameter(Position = 0)][string]$What,
    [Parameter(Position = 1)][string]$Name,
    [switch]$Help
)

$Root = $PSScriptRoot

function Show-Usage {
    Write-Host @'
Usage: ./dockerbuild.ps1 server          build the server and run it, reachable at port 7777 of this machine
       ./dockerbuild.ps1 client [NAME]   build the client and run it as NAME; asks for a name if none is given
       ./dockerbuild.ps1 -Help

The containers meet in the docker network goTCPnet (192.168.111.0/24), the server at 192.168.111.111. What is said is
kept in the docker volume gotcpdata; to forget it: docker volume rm gotcpdata
DOCKER_BUILD_ARGS in the environment is given to docker build, as in
  $env:DOCKER_BUILD_ARGS = '--network=host'; ./dockerbuild.ps1 server
'@
}

function Stop-Failed([string[]]$Lines) {
    foreach ($Line in $Lines) { [Console]::Error.WriteLine("dockerbuild: $Line") }
    exit 1
}

function Stop-Wrong([string]$Line) {
    [Console]::Error.WriteLine("dockerbuild: $Line; ./dockerbuild.ps1 -Help lists what there is")
    exit 2
}

function Assert-Docker {
    if (-not (Get-Command docker -ErrorAction SilentlyContinue)) {
        Stop-Failed 'there is no docker command here; install Docker first'
    }
    docker version --format '{{.Server.Version}}' | Out-Null
    if ($LASTEXITCODE -ne 0) {
        Stop-Failed 'docker does not reach its engine; what it said is above.', 'Is the engine started, and may you use it?'
    }
}

function Assert-Name {
    $Status = docker container inspect --format '{{.State.Status}}' gotcpserver 2>$null
    if ($LASTEXITCODE -eq 0) {
        Stop-Failed "there is a container named gotcpserver already ($Status).",
            'To stop it: docker stop gotcpserver. If it is still listed then: docker rm gotcpserver'
    }
}

function Assert-Network {
    $Subnet = docker network inspect --format '{{range .IPAM.Config}}{{.Subnet}}{{end}}' goTCPnet 2>$null
    if ($LASTEXITCODE -eq 0) {
        if ($Subnet -ne '192.168.111.0/24') {
            Stop-Failed "the docker network goTCPnet has the subnet $Subnet, but 192.168.111.0/24 is needed.",
                'To remove it: docker network rm goTCPnet'
        }
        return
    }
    docker network create --subnet 192.168.111.0/24 goTCPnet | Out-Null
    if ($LASTEXITCODE -ne 0) {
        Stop-Failed 'docker could not make the network goTCPnet; what it said is above.',
            'If it speaks of an overlap, another network uses 192.168.111.0/24: find it with docker network ls'
    }
}

function Build-Image([string]$Target) {
    $BuildArguments = @("$env:DOCKER_BUILD_ARGS" -split '\s+' | Where-Object { $_ })
    docker build @BuildArguments --file "$Root/deploy/Dockerfile" --target "$Target" --tag "gotcp$Target" "$Root"
    if ($LASTEXITCODE -ne 0) {
        Stop-Failed "the image gotcp$Target could not be built; what docker said is above.",
            "If it could not reach the package mirror, try: `$env:DOCKER_BUILD_ARGS = '--network=host'"
    }
}

# 125 is docker's own failure; any other code is that of the program inside.
function Complete-Run([string]$Hint) {
    if ($LASTEXITCODE -eq 125) {
        Stop-Failed 'docker could not start the container; what it said is above.', $Hint
    }
    exit $LASTEXITCODE
}

function Start-Server {
    Assert-Docker
    Assert-Name
    Assert-Network
    Build-Image server
    docker run --rm --name gotcpserver --network goTCPnet --ip 192.168.111.111 -p 7777:7777 `
        --read-only --cap-drop ALL --volume gotcpdata:/var/lib/tcpchat gotcpserver
    Complete-Run ('If it speaks of a port, another program uses 7777: find it with docker ps. ' +
        'If it speaks of an address, another container has 192.168.111.111: docker network inspect goTCPnet')
}

function Start-Client([string]$Name) {
    Assert-Docker
    if (-not $Name) {
        [Console]::Error.Write('Enter USERNAME: ')
        $Name = [Console]::In.ReadLine()
    }
    if (-not $Name) { Stop-Wrong 'a client needs a name' }
    Write-Host "You're now @$Name"
    # Docker allows fewer characters in a name than the chat does.
    $Container = 'gotcpclient' + ($Name -replace '[^a-zA-Z0-9_.-]', '_') + ('{0:x6}' -f (Get-Random -Maximum 0x1000000))
    Assert-Network
    Build-Image client
    docker run --rm --name "$Container" --network goTCPnet --interactive --tty `
        --read-only --cap-drop ALL gotcpclient tcpclient -username "$Name" 192.168.111.111
    Complete-Run 'A client needs a terminal; if that is not the reason, start it again.'
}

if ($Help -or $What -in '-h', '--help') {
    Show-Usage
    exit 0
}
switch ($What) {
    'server' {
        if ($Name) { Stop-Wrong 'server takes no arguments' }
        Start-Server
    }
    'client' { Start-Client $Name }
    '' { Stop-Wrong 'say server or client' }
    default { Stop-Wrong "unknown argument '$What'" }
}
