<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="en" sourcelanguage="en">
<context>
    <name>dfrot</name>
    <message numerus="yes">
        <source>%n folders</source>
        <translation>
            <numerusform>%n folder</numerusform>
            <numerusform>%n folders</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n linears marked, which hold {share:.0f} % of the summed divergence: {before:.2f} → {after:.2f} bits a weight on average, scales not counted.</source>
        <translation>
            <numerusform>%n linear marked, which holds {share:.0f} % of the summed divergence: {before:.2f} → {after:.2f} bits a weight on average, scales not counted.</numerusform>
            <numerusform>%n linears marked, which hold {share:.0f} % of the summed divergence: {before:.2f} → {after:.2f} bits a weight on average, scales not counted.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n models</source>
        <translation>
            <numerusform>%n model</numerusform>
            <numerusform>%n models</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n runs chosen</source>
        <translation>
            <numerusform>%n run chosen</numerusform>
            <numerusform>%n runs chosen</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n runs on this computer</source>
        <translation>
            <numerusform>%n run on this computer</numerusform>
            <numerusform>%n runs on this computer</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n runs side by side</source>
        <translation>
            <numerusform>%n run side by side</numerusform>
            <numerusform>%n runs side by side</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>CPU · %n cores</source>
        <translation>
            <numerusform>CPU · %n core</numerusform>
            <numerusform>CPU · %n cores</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>Delete %n runs and {size} of files?</source>
        <translation>
            <numerusform>Delete the run and {size} of files?</numerusform>
            <numerusform>Delete %n runs and {size} of files?</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>Take %n runs off the list?</source>
        <translation>
            <numerusform>Take the run off the list?</numerusform>
            <numerusform>Take %n runs off the list?</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{count:,} of %n runs on this computer</source>
        <translation>
            <numerusform>{count:,} of %n run on this computer</numerusform>
            <numerusform>{count:,} of %n runs on this computer</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{size} to download · %n files</source>
        <translation>
            <numerusform>{size} to download · %n file</numerusform>
            <numerusform>{size} to download · %n files</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{size} · %n files</source>
        <translation>
            <numerusform>{size} · %n file</numerusform>
            <numerusform>{size} · %n files</numerusform>
        </translation>
    </message>
</context>
</TS>
